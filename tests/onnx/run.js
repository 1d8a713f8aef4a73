'use strict'
// node run.js MODEL CxHxW IMAGES LOGITS LEVEL: what onnxruntime makes of each image, one after the
// other. Files are of raw f32; LEVEL: how much it may rearrange the graph, disabled to all.
const fs = require('fs')
const ort = require('onnxruntime-node')

async function main(model, shape, images, logits, level) {
  const session = await ort.InferenceSession.create(model,
    { executionProviders: ['cpu'], graphOptimizationLevel: level, intraOpNumThreads: 1 })
  const dims = [1, ...shape.split('x').map(Number)]
  const elements = dims.reduce((a, b) => a * b)
  const all = new Float32Array(Uint8Array.from(fs.readFileSync(images)).buffer)
  const out = fs.openSync(logits, 'w')
  for (let at = 0; at < all.length; at += elements) {
    const image = new ort.Tensor('float32', all.slice(at, at + elements), dims)
    fs.writeSync(out, (await session.run({ image })).logits.data)
  }
}

main(...process.argv.slice(2)).catch(error => {
  console.error(error.message)
  process.exit(1)
})
